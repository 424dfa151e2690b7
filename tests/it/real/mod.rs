//! What real registries do otherwise than the specification says, as a whole: through the program itself, from the
//! registry that is added to what a scan reports and what is in the catalogue afterwards.

mod naming;
mod odd;
mod refused;
mod reports;
mod returning;
