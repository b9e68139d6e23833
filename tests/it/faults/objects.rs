//! What the object store does wrong.
