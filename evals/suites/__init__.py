"""Where cases come from: one module a source. A suite is a list of cases under one name."""
