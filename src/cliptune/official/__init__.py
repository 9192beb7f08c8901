"""Checkpoints and logs of the authors' repositories, read without executing code in them.

`checkpoint_file` reads a file, `detect` finds the method, `tensor_names` maps official names to tensors of learners,
`compatibility` checks the backbone and decodes class names, `rebuild` creates the tuned model, `dpl_alphas` reads the
lengths of DPL's search. `logs` reads the logs.
"""
