//! The one integration-test program. Add a module here with a line of guidance.

// Properties of the source itself: floors, fences, sizes, banned words.
mod tidy;

// The library as a program uses it.
mod library;
