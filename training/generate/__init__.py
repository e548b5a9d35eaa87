"""Makes up training data for given tools: from templates, or with a teacher's help."""
