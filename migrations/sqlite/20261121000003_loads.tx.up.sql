-- agents.open_chats and open_weight follow the chats, whoever changes them. There is the same for PostgreSQL.

CREATE TRIGGER chats_load_begins AFTER INSERT ON chats
  WHEN NEW.agent_id IS NOT NULL AND NEW.closed_at IS NULL AND NOT NEW.on_hold
BEGIN
  UPDATE agents SET open_chats = open_chats + 1, open_weight = open_weight + NEW.weight WHERE id = NEW.agent_id;
END;

CREATE TRIGGER chats_load_changes AFTER UPDATE OF agent_id, closed_at, on_hold, weight ON chats
  WHEN OLD.agent_id IS NOT NULL OR NEW.agent_id IS NOT NULL
BEGIN
  UPDATE agents SET open_chats = open_chats - 1, open_weight = open_weight - OLD.weight
  WHERE id = OLD.agent_id AND OLD.closed_at IS NULL AND NOT OLD.on_hold;
  UPDATE agents SET open_chats = open_chats + 1, open_weight = open_weight + NEW.weight
  WHERE id = NEW.agent_id AND NEW.closed_at IS NULL AND NOT NEW.on_hold;
END;
