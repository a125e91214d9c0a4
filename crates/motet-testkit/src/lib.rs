//! Conformance suites for the ports, fixtures, output filters.
