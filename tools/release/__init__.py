"""What a release of the project is made with: trained models and data that ship."""
