"""A package, because a fixture that ends with its folder needs one (pytest's scope `package`)."""
