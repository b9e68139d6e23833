//! What the machine does wrong.
