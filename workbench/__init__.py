"""Spectral Workbench: self-supervised learning on multispectral and hyperspectral satellite data.

Nothing is imported here, so that `import workbench` costs nothing; take names from the rooms:
`workbench.catalog`, `workbench.readers`, `workbench.extraction`, `workbench.synthetic`,
`workbench.datasets`, `workbench.viz`, `workbench.execution`.
"""

__version__ = "0.1.0"
