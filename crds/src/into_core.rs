//! From what users write to what the mesh means.
