"""An agent's step, and its step of adaptation, as programs for places without JAX.

`traced` makes an agent into programs on arrays of fixed shapes, `walk` goes through one, operation by operation, and
`loops` (C, JavaScript) and `arrays` (NumPy) write down what comes by.
"""
