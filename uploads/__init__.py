"""Audio files of users and of replies: proof, storage, serving, retention."""
