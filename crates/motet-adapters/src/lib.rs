//! The real engines behind the ports of the contexts, one module and one cargo feature each.
