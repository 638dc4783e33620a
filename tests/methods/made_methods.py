"""Options that make every method small."""

SMALL = {
    "moco": {"queue_size": 64, "momentum": 0.9},
    "dino": {"hidden_dim": 64, "bottleneck_dim": 32, "output_dim": 256, "momentum": 0.9},
    "mae": {"decoder_width": 32, "decoder_depth": 1, "decoder_heads": 2},
    "simclr": {"hidden_dim": 32, "output_dim": 16},
    "swav": {"hidden_dim": 32, "output_dim": 16, "prototypes": 12},
    "byol": {"hidden_dim": 32, "output_dim": 16, "momentum": 0.9},
    "simsiam": {"hidden_dim": 32, "output_dim": 32, "bottleneck_dim": 16},
    "barlow_twins": {"hidden_dim": 32, "output_dim": 32},
    "vicreg": {"hidden_dim": 32, "output_dim": 32},
    "maskfeat": {},
    "beit": {"words": 16},
    "data2vec": {"momentum": 0.99, "momentum_end": 0.99, "beta": 1.0},
}
"""Options of each method, by its name."""
