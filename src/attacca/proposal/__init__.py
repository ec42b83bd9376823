"""Proposal of a configuration for given files.

1. ``pairing`` finds images and their labels in the given paths.
2. ``examination`` opens them with Attacca's readers and measures voxels, intensities and objects.
3. ``division`` chooses the volumes for training, validation and test.
4. ``rules`` chooses task, training and segmentation, and ``network_rules`` the network, each with its reason.
5. ``configuration_text`` writes the choices as YAML with a comment per choice.
"""
