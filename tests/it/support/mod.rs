//! support
pub mod postgres;
