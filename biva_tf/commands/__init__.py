"""What the commands share: flags made from settings, start-up, errors in one line."""
