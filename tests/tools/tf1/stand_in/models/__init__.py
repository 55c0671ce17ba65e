from .biva import BIVA

__all__ = ["BIVA"]
