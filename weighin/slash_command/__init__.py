"""Commands that people type in a chat: who is champion, who was, and a rollback that a workflow does."""
