"""What people edit manifests with, and the validators that they check them with."""
