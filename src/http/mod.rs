//! http

pub mod range;
pub mod route;
