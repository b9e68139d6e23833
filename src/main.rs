//! Arguments, logging, configuration, run; outcome -> exit status. No logic.

fn main() {}
