"""Tables, figures and pages, made of what was measured."""
