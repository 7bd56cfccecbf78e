-- agents.open_chats and open_weight follow the chats, whoever changes them: routing asks for the loads of whole teams, and
-- counting them would cost what all open chats do. An agent's row is locked after the chat's; who takes a chat from one agent
-- for another locks both before, in the order of their ids. There is the same for SQLite.

CREATE FUNCTION waggle_load() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.closed_at IS NULL AND NOT OLD.on_hold THEN
    UPDATE agents SET open_chats = open_chats - 1, open_weight = open_weight - OLD.weight WHERE id = OLD.agent_id;
  END IF;
  IF NEW.closed_at IS NULL AND NOT NEW.on_hold THEN
    UPDATE agents SET open_chats = open_chats + 1, open_weight = open_weight + NEW.weight WHERE id = NEW.agent_id;
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER chats_load_begins AFTER INSERT ON chats FOR EACH ROW
  WHEN (NEW.agent_id IS NOT NULL)
  EXECUTE FUNCTION waggle_load();

CREATE TRIGGER chats_load_changes AFTER UPDATE OF agent_id, closed_at, on_hold, weight ON chats FOR EACH ROW
  WHEN (OLD.agent_id IS NOT NULL OR NEW.agent_id IS NOT NULL)
  EXECUTE FUNCTION waggle_load();
