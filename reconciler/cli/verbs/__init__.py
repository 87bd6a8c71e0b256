"""The verbs, one module each, named like the verb; imported when the verb is asked for."""
