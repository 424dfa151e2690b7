//! Deviations of real registries from the specification, tested end to end with the program: from adding a registry to
//! the scan's report and the catalogue.

mod naming;
mod odd;
mod refused;
mod reports;
mod returning;
