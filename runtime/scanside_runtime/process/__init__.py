"""One child protocol: a process of our own that is limited, asked, believed by type, and ended with its group."""
