"""What is known of mail providers and servers: what they say and what it means, where their servers
are, how they let programs log in. Data with its public sources, and nothing that talks to a server.
"""
