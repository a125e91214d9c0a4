//! The relay from outside: the machine over a simulated table, and the whole over real SQLite files; and views.

mod pages;
mod simulation;
mod sqlite;
mod views;
