"""Models in the formats of other programs: packages of the BioImage Model Zoo, and programs of ``torch.export``."""
