"""Networks that embed inputs: ordinary torch modules, called as pure functions of their tensors."""
