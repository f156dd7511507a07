//! The engine with a toy, against thousands of random worlds. `toy` is the resource and its world, `random` the
//! properties, `cases` what is easier said by example.

mod cases;
mod random;
mod toy;
