//! The binary: hands the command line to `wharf::cli`.

fn main() {}
