//! What the gateway does wrong.
