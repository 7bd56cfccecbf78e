-- One schema for PostgreSQL and SQLite. Times are bigint microseconds since 1970 UTC, so that both databases compare and
-- add them alike; SQLite takes the PostgreSQL type names as they are. Every table carries the environment's id.
-- Hot tables (identities, contacts, chats, timeline, parts) have no foreign keys: a check per row costs more than it guards,
-- as nothing deletes their parents.

CREATE TABLE clock (
  id           int PRIMARY KEY CHECK (id = 1),
  offset_us    bigint NOT NULL DEFAULT 0, -- moved by the movable clock only
  heartbeat_at bigint NOT NULL DEFAULT 0, -- unmoved: when a worker was last alive
  resumed_at   bigint NOT NULL DEFAULT 0  -- business time: when service was last resumed after an outage
);
INSERT INTO clock (id) VALUES (1);

CREATE TABLE leaders (
  name     text PRIMARY KEY,
  owner    text NOT NULL,
  until_at bigint NOT NULL
);

-- The processes that take what messengers deliver. Times are unmoved.
CREATE TABLE receivers (
  owner   text PRIMARY KEY,
  beat_at bigint NOT NULL,                -- until then it certainly took deliveries
  gone    boolean NOT NULL DEFAULT false  -- it has ended, and nobody took them after it
);

CREATE TABLE environments (
  id                uuid PRIMARY KEY,
  created_at        bigint NOT NULL,
  crm_kind          text NOT NULL DEFAULT 'creatio',
  crm_url           text UNIQUE,                  -- normalised root of the CRM's site, without /0
  crm_prefix        text NOT NULL DEFAULT '?',    -- '/0', '' or '?': not yet known
  public_url        text NOT NULL DEFAULT '',     -- ours, for this environment; empty: the installation's
  auth              text NOT NULL DEFAULT '',     -- '', api_key, login, oauth
  login             text NOT NULL DEFAULT '',
  identity_url      text NOT NULL DEFAULT '',
  client_id         text NOT NULL DEFAULT '',
  secrets           bytea,                        -- encrypted JSON: password, api_key, client_secret, login_client_secret
  api_key_hash      bytea UNIQUE,
  api_key_hint      text NOT NULL DEFAULT '',
  old_api_key_hash  bytea UNIQUE,                 -- overlap while a new key is rolled out
  old_api_key_until bigint,
  wizard_step       int NOT NULL DEFAULT 1,
  wizard_revision   int NOT NULL DEFAULT 1,
  configured_at     bigint,
  close_on          boolean NOT NULL DEFAULT false,
  close_minutes     int,
  transfer_on       boolean NOT NULL DEFAULT false,
  transfer_minutes  int,
  chats_enabled     boolean NOT NULL DEFAULT false,
  chats_enabled_at  bigint,                       -- clocks count from here (b24)
  display           text NOT NULL DEFAULT 'popup',
  simultaneous_chats      int,                    -- set here; NULL: the CRM's value, else 2
  accept_timeout_minutes  int,                    -- set here; NULL: the CRM's value, else 5
  bot_timeout_minutes     int,                    -- set here; NULL: 5
  site_url          text NOT NULL DEFAULT '',     -- set here; empty: the CRM's SiteUrl, else its address
  login_url         text NOT NULL DEFAULT '',     -- IdentityServerUrl: where a messenger's login window is
  login_client_id   text NOT NULL DEFAULT '',     -- IdentityServerClientId; its secret is in secrets
  crm_settings      jsonb,                        -- the CRM's values by its codes, as last read
  crm_settings_at   bigint,
  crm_version       text NOT NULL DEFAULT '',
  crm_state         text NOT NULL DEFAULT 'unchecked', -- unchecked, ok, unavailable, refused
  crm_error         text NOT NULL DEFAULT '',
  crm_since         bigint,                       -- unmoved: since when crm_state holds
  crm_failures      int NOT NULL DEFAULT 0,
  crm_retry_at      bigint,                       -- unmoved: no push before; one probe then
  sync_needed       boolean NOT NULL DEFAULT false
);

CREATE TABLE secret_keys (
  id             uuid PRIMARY KEY,
  environment_id uuid NOT NULL REFERENCES environments (id),
  hash           bytea NOT NULL UNIQUE,
  hint           text NOT NULL,
  source         text NOT NULL,                   -- operator, request
  company        text NOT NULL DEFAULT '',
  phone          text NOT NULL DEFAULT '',
  email          text NOT NULL DEFAULT '',        -- lower case
  issued_at      bigint NOT NULL,
  expires_at     bigint,
  revoked_at     bigint
);
CREATE UNIQUE INDEX secret_keys_email ON secret_keys (email) WHERE source = 'request';
CREATE INDEX secret_keys_environment ON secret_keys (environment_id);

CREATE TABLE sessions (
  id             uuid PRIMARY KEY,
  environment_id uuid NOT NULL REFERENCES environments (id),
  hash           bytea NOT NULL UNIQUE,
  role           text NOT NULL,                   -- administrator, chat_administrator, agent
  agent_id       uuid,
  crm_user_id    text NOT NULL DEFAULT '',
  issued_at      bigint NOT NULL,
  expires_at     bigint NOT NULL,
  revoked_at     bigint
);

CREATE TABLE idempotency_keys (
  environment_id uuid NOT NULL,
  operation      text NOT NULL,
  key            text NOT NULL,
  request_hash   bytea NOT NULL,
  answer         bytea NOT NULL,                  -- JSON of what the store's method returned
  created_at     bigint NOT NULL,
  PRIMARY KEY (environment_id, operation, key)
);

CREATE TABLE processes (
  id             uuid PRIMARY KEY,
  environment_id uuid NOT NULL REFERENCES environments (id),
  name           text NOT NULL,                   -- BeesenderSaveAfkChats, BeesenderCloseOldChats
  state          text NOT NULL,                   -- running, canceled
  revision       int NOT NULL DEFAULT 0,          -- of the wizard that started it; 0: the left panel
  started_at     bigint NOT NULL,
  canceled_at    bigint,
  last_run_at    bigint,
  next_run_at    bigint,
  runs           bigint NOT NULL DEFAULT 0,
  affected       bigint NOT NULL DEFAULT 0,
  last_error     text NOT NULL DEFAULT ''
);
CREATE INDEX processes_running ON processes (environment_id, name) WHERE state = 'running';

CREATE TABLE jobs (
  id             uuid PRIMARY KEY,
  environment_id uuid NOT NULL REFERENCES environments (id),
  kind           text NOT NULL,                   -- synchronize
  state          text NOT NULL,                   -- pending, running, done, failed, canceled
  phase          text NOT NULL DEFAULT '',
  position       text NOT NULL DEFAULT '',        -- where a crashed run goes on
  done           bigint NOT NULL DEFAULT 0,
  total          bigint NOT NULL DEFAULT 0,
  failed         bigint NOT NULL DEFAULT 0,
  error          text NOT NULL DEFAULT '',
  created_at     bigint NOT NULL,
  started_at     bigint,
  finished_at    bigint,
  owner          text NOT NULL DEFAULT '',
  until_at       bigint,                          -- unmoved: lease of the worker that runs it
  fence          bigint NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX jobs_one_at_a_time ON jobs (environment_id, kind) WHERE state IN ('pending', 'running');

CREATE TABLE queues (
  id              uuid PRIMARY KEY,
  environment_id  uuid NOT NULL REFERENCES environments (id),
  name            text NOT NULL,
  rule            text NOT NULL,                  -- to_all_agents, to_an_available_agent
  timeout_minutes int,
  created_at      bigint NOT NULL,
  deleted_at      bigint,
  crm_pushed      text NOT NULL DEFAULT ''        -- fingerprint of what the CRM has
);
CREATE INDEX queues_environment ON queues (environment_id);

CREATE TABLE agent_groups (
  id             uuid PRIMARY KEY,
  environment_id uuid NOT NULL REFERENCES environments (id),
  name           text NOT NULL,
  position       int NOT NULL DEFAULT 0,          -- the queue position of its members; lower takes first
  created_at     bigint NOT NULL
);
CREATE INDEX agent_groups_environment ON agent_groups (environment_id);

CREATE TABLE agents (
  id             uuid PRIMARY KEY,
  environment_id uuid NOT NULL,                   -- no foreign key: a row changed twice in a transaction would have it checked, and lock the environment after chats
  crm_user_id    text,
  name           text NOT NULL,
  nickname       text NOT NULL DEFAULT '',
  enabled        boolean NOT NULL DEFAULT true,   -- the administrator's card
  status         text NOT NULL DEFAULT 'offline', -- active, inactive, offline
  status_at      bigint NOT NULL DEFAULT 0,
  heartbeat_at   bigint,                          -- unmoved
  max_load       int,
  group_id       uuid REFERENCES agent_groups (id),
  last_taken_at  bigint,                          -- when he last took a chat
  open_chats     int NOT NULL DEFAULT 0,          -- those on hold not counted; triggers of chats keep it
  open_weight    int NOT NULL DEFAULT 0,          -- the sum of their weights
  created_at     bigint NOT NULL,
  deleted_at     bigint
);
CREATE UNIQUE INDEX agents_crm_user ON agents (environment_id, crm_user_id) WHERE crm_user_id IS NOT NULL;

CREATE TABLE channels (
  id              uuid PRIMARY KEY,
  environment_id  uuid NOT NULL REFERENCES environments (id),
  kind            text NOT NULL,
  name            text NOT NULL,
  state           text NOT NULL,                  -- inactive, active, disconnected
  account_id      text,                           -- the account's own id on the messenger
  account_name    text NOT NULL DEFAULT '',
  queue_id        uuid REFERENCES queues (id),
  weight          int NOT NULL DEFAULT 1,
  url             text NOT NULL DEFAULT '',
  receive         text NOT NULL,                  -- webhook, polling
  fields          jsonb NOT NULL,                 -- plain fields
  secrets         bytea,                          -- encrypted JSON: secret fields and the hook secret
  agents_may_start boolean NOT NULL DEFAULT false, -- agents may start dialogues, where the kind can (b20)
  created_at      bigint NOT NULL,
  connected_at    bigint,                         -- unmoved: when it became active last
  version         bigint NOT NULL DEFAULT 1,      -- moves with each change of state or credentials
  receiving_ok    boolean NOT NULL DEFAULT false,
  receiving_since bigint,
  receiving_why   text NOT NULL DEFAULT '',
  sending_ok      boolean NOT NULL DEFAULT false,
  sending_since   bigint,
  sending_why     text NOT NULL DEFAULT '',
  sending_told_at bigint,                         -- unmoved: when the send began that told this last
  send_retry_at   bigint,                         -- unmoved: a limit of the whole channel
  last_inbound_at bigint,
  dropped         bigint NOT NULL DEFAULT 0,      -- while not active
  ignored         bigint NOT NULL DEFAULT 0,      -- of no use to Waggle
  poll_offset     text NOT NULL DEFAULT '',
  poll_owner      text NOT NULL DEFAULT '',
  poll_until      bigint,                         -- unmoved: lease of the polling worker
  reread_from     bigint,                         -- unmoved: since when the webhook may have missed something; NULL: nothing is missing
  reread_at       bigint,                         -- unmoved: when that is to be read; NULL: it is not asked for, or not yet
  reread_done     bigint,                         -- unmoved: when the last reading that came to its end was asked for; NULL: there was none
  delivers_at     bigint,                         -- unmoved: when the messenger said last that it delivers; NULL: it never did, or is polled
  check_at        bigint,                         -- unmoved: when the messenger is asked next whether it delivers; NULL: now
  crm_pushed      text NOT NULL DEFAULT ''        -- fingerprint of what the CRM has
);
-- One account in one channel of the whole installation (S2.9, b43), also while it is disconnected.
CREATE UNIQUE INDEX channels_account ON channels (kind, account_id) WHERE account_id IS NOT NULL;
CREATE INDEX channels_environment ON channels (environment_id);
CREATE INDEX channels_check ON channels (check_at) WHERE state = 'active' AND receive = 'webhook';

-- Ways through a messenger's login window. Times are unmoved.
CREATE TABLE logins (
  id             uuid PRIMARY KEY,
  environment_id uuid NOT NULL REFERENCES environments (id),
  kind           text NOT NULL,
  state_hash     bytea NOT NULL UNIQUE,           -- of what the window gives back, once
  callback       text NOT NULL,
  expires_at     bigint NOT NULL,
  returned_at    bigint,
  why            text NOT NULL DEFAULT '',        -- why it failed
  secrets        bytea                            -- encrypted JSON: what it opened
);
CREATE INDEX logins_expired ON logins (expires_at);

CREATE TABLE queue_agents (
  queue_id       uuid NOT NULL REFERENCES queues (id) ON DELETE CASCADE,
  agent_id       uuid NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
  environment_id uuid NOT NULL,
  PRIMARY KEY (queue_id, agent_id)
);
CREATE INDEX queue_agents_agent ON queue_agents (agent_id);

CREATE TABLE agent_channels (
  agent_id       uuid NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
  channel_id     uuid NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
  environment_id uuid NOT NULL,
  PRIMARY KEY (agent_id, channel_id)
);
CREATE INDEX agent_channels_channel ON agent_channels (channel_id);

CREATE TABLE contacts (
  id             uuid PRIMARY KEY,
  environment_id uuid NOT NULL,
  name           text NOT NULL,
  phone          text NOT NULL DEFAULT '',        -- normalised, vouched for
  email          text NOT NULL DEFAULT '',        -- normalised, vouched for
  created_at     bigint NOT NULL,
  crm_ref        uuid,                            -- the CRM contact's id once it is known
  crm_own        boolean NOT NULL DEFAULT false,  -- made by Waggle
  crm_candidates jsonb,                           -- CRM contacts that fit equally well: a suggestion
  crm_pushed     text NOT NULL DEFAULT '',        -- fingerprint of what the CRM has
  crm_error      text NOT NULL DEFAULT ''
);
CREATE INDEX contacts_environment ON contacts (environment_id, id);
CREATE INDEX contacts_name ON contacts (environment_id, name, id);

CREATE TABLE identities (
  id             uuid PRIMARY KEY,
  environment_id uuid NOT NULL,
  channel_id     uuid NOT NULL,
  external_id    text NOT NULL,
  contact_id     uuid NOT NULL,
  name           text NOT NULL DEFAULT '',
  username       text NOT NULL DEFAULT '',
  language       text NOT NULL DEFAULT '',
  created_at     bigint NOT NULL,
  blocked_at     bigint,                          -- since when he takes no messages of the channel
  delivered_until bigint,                         -- by the messenger's clock: all sent to him up to then has arrived
  read_until     bigint,                          -- the same: he has read it
  crm_pushed     text NOT NULL DEFAULT '',
  crm_error      text NOT NULL DEFAULT '',
  profile_at     bigint,                          -- unmoved: he came without a name; when the messenger is asked for it next
  profile_tries  int NOT NULL DEFAULT 0,
  UNIQUE (channel_id, external_id)
);
CREATE INDEX identities_blocked ON identities (external_id, channel_id) WHERE blocked_at IS NOT NULL;
CREATE INDEX identities_contact ON identities (contact_id);
CREATE INDEX identities_profile ON identities (channel_id, profile_at) WHERE profile_at IS NOT NULL;

-- Who holds a conversation that several apps share at the messenger, by its latest word; no row: it never said. It is the one
-- truth about whether we may write. An open chat has a copy for the rules. Locked before identity and chat.
CREATE TABLE threads (
  channel_id     uuid NOT NULL,
  external_id    text NOT NULL,                   -- the user's id on the messenger
  environment_id uuid NOT NULL,
  owner          text NOT NULL DEFAULT '',        -- us, other, nobody
  app            text NOT NULL DEFAULT '',        -- the other app's id, if known
  at             bigint NOT NULL DEFAULT 0,       -- the messenger's time of that word
  PRIMARY KEY (channel_id, external_id)
);

CREATE TABLE chats (
  id                 uuid PRIMARY KEY,
  -- What an index knows stands first. At every change of a chat PostgreSQL compares these columns before and after, each by a walk
  -- from the row's start; where none of them moved, no index hears of the change (HOT).
  environment_id     uuid NOT NULL,
  channel_id         uuid NOT NULL,
  identity_id        uuid NOT NULL,
  contact_id         uuid NOT NULL,
  opened_at          bigint NOT NULL,
  weight             int NOT NULL,
  on_hold            boolean NOT NULL DEFAULT false,
  closed_at          bigint,
  queue_id           uuid,
  agent_id           uuid,
  assigned_at        bigint,
  accepted_at        bigint,
  agent_due_since    bigint,                      -- unanswered, with an agent, not on hold: max(unanswered_since, assigned_at)
  closing_since      bigint,                      -- the last message is ours: when it was delivered
  last_message_day   bigint,                      -- of last_message_at: the month is looked for by the day, since most messages do not move it
  bot_due_since      bigint,                      -- another app has it and leaves the client unanswered: since when
  thread_due_at      bigint,                      -- unmoved: when what thread_wish says is due; while it is being asked, the end of that lease
  crm_due_at         bigint,                      -- unmoved: when the lane to the CRM has something to do; NULL: nothing
  out_due_at         bigint,                      -- unmoved: the lane to the messenger; 9223372036854775807: its channel is not active
  user_id            text NOT NULL,               -- the customer's id on the messenger, as in identities: his messages find his open chat by it
  thread_owner       text NOT NULL DEFAULT '',    -- who holds the conversation at the messenger (see threads): us, other, nobody; empty: the
                                                  -- messenger never said. other: no agent has it, nobody is asked to, nothing is sent
  held_reason        text,                        -- stored, but shown and routed only once released: key_expired
  number             bigint NOT NULL,
  assignment_version bigint NOT NULL DEFAULT 0,
  close_reason       text NOT NULL DEFAULT '',
  closed_by          uuid,                        -- the agent; NULL: nobody or a process
  reopened           int NOT NULL DEFAULT 0,
  -- facts the rules read; they change with the timeline, in the same transaction
  last_seq           bigint NOT NULL DEFAULT 0,
  last_direction     text NOT NULL DEFAULT '',    -- in, out: of the last message (b9)
  last_message_at    bigint,
  unanswered_since   bigint,                      -- first client message since our last reply
  answered_from      bigint,                      -- what unanswered_since was before the last reply; it returns if that fails
  first_reply_at     bigint,
  look_at            bigint NOT NULL DEFAULT 0,   -- nobody could take it: next look
  transfer_why       text NOT NULL DEFAULT '',    -- why the last look moved it or left it
  thread_app         text NOT NULL DEFAULT '',
  thread_since       bigint,
  thread_wish        text NOT NULL DEFAULT '',    -- take, release: what is to be asked of the messenger
  thread_tries       int NOT NULL DEFAULT 0,      -- how often it was asked: the fence of who asks
  -- lane to the CRM
  crm_seq            bigint NOT NULL DEFAULT 0,   -- everything up to here is proven or refused
  crm_version        bigint NOT NULL DEFAULT 1,   -- moves with every change the CRM should see
  crm_owner          text NOT NULL DEFAULT '',
  crm_until          bigint,
  crm_fence          bigint NOT NULL DEFAULT 0,
  crm_failures       int NOT NULL DEFAULT 0,
  crm_error          text NOT NULL DEFAULT '',
  crm_pushed         text NOT NULL DEFAULT '',    -- fingerprint of the chat record the CRM has
  -- lane to the messenger
  out_seq            bigint NOT NULL DEFAULT 0,   -- every outgoing message up to here is settled
  out_version        bigint NOT NULL DEFAULT 1,
  out_refused        bigint NOT NULL DEFAULT 0,   -- the out_version whose messages fail untried: the messenger refused the whole channel; 0: none
  out_owner          text NOT NULL DEFAULT '',
  out_until          bigint,
  out_fence          bigint NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX chats_one_open ON chats (identity_id) WHERE closed_at IS NULL;
CREATE UNIQUE INDEX chats_customer ON chats (user_id, channel_id) WHERE closed_at IS NULL;
CREATE INDEX chats_list ON chats (environment_id, id);
CREATE INDEX chats_contact ON chats (contact_id);
CREATE INDEX chats_channel ON chats (channel_id);
CREATE INDEX chats_agent ON chats (environment_id, agent_id, on_hold, weight) WHERE closed_at IS NULL AND agent_id IS NOT NULL;
CREATE INDEX chats_waiting ON chats (environment_id, queue_id, opened_at)
  WHERE closed_at IS NULL AND agent_id IS NULL AND held_reason IS NULL AND thread_owner <> 'other';
CREATE INDEX chats_bot_due ON chats (environment_id, bot_due_since) WHERE bot_due_since IS NOT NULL;
CREATE INDEX chats_thread_due ON chats (thread_due_at) WHERE thread_due_at IS NOT NULL;
CREATE INDEX chats_held ON chats (environment_id) WHERE held_reason IS NOT NULL;
CREATE INDEX chats_accepting ON chats (environment_id, assigned_at) WHERE closed_at IS NULL AND accepted_at IS NULL AND assigned_at IS NOT NULL;
CREATE INDEX chats_agent_due ON chats (environment_id, agent_due_since) WHERE agent_due_since IS NOT NULL;
CREATE INDEX chats_closing ON chats (environment_id, queue_id, closing_since) WHERE closing_since IS NOT NULL;
CREATE INDEX chats_month ON chats (last_message_day) WHERE closed_at IS NULL AND (agent_id IS NULL OR on_hold);
CREATE INDEX chats_crm_due ON chats (environment_id, crm_due_at) WHERE crm_due_at IS NOT NULL;
CREATE INDEX chats_out_waiting ON chats (channel_id, out_due_at) WHERE out_due_at IS NOT NULL;

-- Agents already tried for the present unanswered message; cleared when a reply is accepted.
CREATE TABLE chat_tries (
  chat_id        uuid NOT NULL,
  agent_id       uuid NOT NULL,
  environment_id uuid NOT NULL,
  PRIMARY KEY (chat_id, agent_id)
);

CREATE TABLE timeline (
  id             uuid PRIMARY KEY,
  environment_id uuid NOT NULL,
  chat_id        uuid NOT NULL,
  seq            bigint NOT NULL,
  kind           text NOT NULL,                   -- message, addition, edit, delete, status, opened, assigned, held, thread, closed
  at             bigint NOT NULL,
  direction      text NOT NULL DEFAULT '',        -- of a message: in, out
  author         text NOT NULL DEFAULT '',        -- client, agent, bot, other, system
  agent_id       uuid,
  text           text NOT NULL DEFAULT '',
  target_id      uuid,                            -- the message an addition or edit belongs to
  reply_to       uuid,                            -- the message a message answers
  attachments    jsonb,
  data           jsonb,                           -- what the other kinds tell
  state          text NOT NULL DEFAULT '',        -- of a message: received, accepted, sending, sent, delivered, read, failed, unknown
  error          text NOT NULL DEFAULT '',
  channel_id     uuid,
  account_id     text,
  event_key      text,
  external_id    text,                            -- the id on the messenger; of an edit: of the piece it changes. Looked for in one chat only: no index
  album          text,                            -- of a message that comes in several pieces: what they have in common
  provider_at    bigint,
  crm_error      text NOT NULL DEFAULT '',        -- refused by the CRM; a visible placeholder, can be redriven
  UNIQUE (chat_id, seq)
);
-- What decides a repeat. The key tells most entries apart by itself, so it is compared first.
CREATE UNIQUE INDEX timeline_event ON timeline (event_key, channel_id, account_id) WHERE event_key IS NOT NULL;
CREATE UNIQUE INDEX timeline_album ON timeline (channel_id, account_id, album) WHERE album IS NOT NULL;
CREATE INDEX timeline_target ON timeline (target_id) WHERE target_id IS NOT NULL;
CREATE INDEX timeline_refused ON timeline (environment_id, id) WHERE crm_error <> '';

CREATE TABLE parts (
  id             uuid PRIMARY KEY,                -- the part's key towards the messenger
  environment_id uuid NOT NULL,
  chat_id        uuid NOT NULL,
  message_id     uuid NOT NULL,
  n              int NOT NULL,
  text           text NOT NULL,                   -- of a file: its caption
  file_id        uuid,                            -- the file it carries
  reply_to       text NOT NULL DEFAULT '',        -- messenger's id of the message it answers
  state          text NOT NULL,                   -- planned, sending, sent, delivered, read, failed, unknown
  attempts       int NOT NULL DEFAULT 0,
  attempted_at   bigint,
  sent_at        bigint,                          -- by the messenger's clock, where it tells; otherwise ours, unmoved, once it had answered
  external_id    text,
  error          text NOT NULL DEFAULT '',
  UNIQUE (message_id, n)
);
CREATE INDEX parts_chat ON parts (chat_id, external_id);

-- Receipts of messages whose ids are not known yet: the messenger's answer to the send is on its way.
CREATE TABLE early_receipts (
  identity_id    uuid NOT NULL,
  external_id    text NOT NULL,
  environment_id uuid NOT NULL,
  state          text NOT NULL,                   -- delivered, read
  at             bigint NOT NULL,                 -- unmoved
  PRIMARY KEY (identity_id, external_id)
);

-- The files of messages, in both directions. What is kept of one in the file store is under {environment_id}/{id}.
CREATE TABLE files (
  id             uuid PRIMARY KEY,
  environment_id uuid NOT NULL,
  chat_id        uuid NOT NULL,
  entry_id       uuid,                            -- the message, addition or edit that brought it; NULL: uploaded and not sent yet
  n              int NOT NULL DEFAULT 0,          -- its place among the entry's attachments, from 0
  channel_id     uuid NOT NULL,
  ref            text NOT NULL DEFAULT '',        -- what the messenger knows it by; empty: an agent's
  kind           text NOT NULL,                   -- photo, document, voice, video, audio, sticker
  name           text NOT NULL,
  state          text NOT NULL,                   -- waiting, stored, failed
  error          text NOT NULL DEFAULT '',        -- why it is not there (yet), for people
  mime           text NOT NULL DEFAULT '',        -- of a stored one, by its content
  size           bigint NOT NULL DEFAULT 0,       -- of a stored one, in bytes; of an upload on its way, the most that it can have
  created_at     bigint NOT NULL,
  attempts       int NOT NULL DEFAULT 0,
  due_at         bigint,                          -- unmoved; to be fetched or, unsent, to be forgotten; while a worker has it, when its lease ends
  fence          bigint NOT NULL DEFAULT 0,
  UNIQUE (entry_id, n)
);
CREATE INDEX files_due ON files (environment_id, due_at) WHERE due_at IS NOT NULL;

-- What did not get through, kept until somebody has looked at it.
CREATE TABLE failures (
  id             uuid PRIMARY KEY,
  environment_id uuid NOT NULL,
  kind           text NOT NULL,                   -- parked: an event the store refused for its data; refused: a record the CRM refused; unsent: an agent's message
  status         text NOT NULL DEFAULT 'open',    -- open, redriven, discarded
  subject        text NOT NULL,                   -- event, message, chat, contact, identity
  subject_key    text NOT NULL,                   -- its id; of an event: channel and event key
  what           text NOT NULL,                   -- for people, without content
  error          text NOT NULL,
  channel_id     uuid,
  chat_id        uuid,
  raw            jsonb,                           -- the parked event
  attempts       int NOT NULL DEFAULT 1,
  first_at       bigint NOT NULL,
  last_at        bigint NOT NULL,
  discarded_by   text NOT NULL DEFAULT '',
  discarded_at   bigint,
  UNIQUE (environment_id, kind, subject, subject_key)
);
CREATE INDEX failures_list ON failures (environment_id, status, id);

-- Where SQLite counts chats; PostgreSQL uses a sequence.
CREATE TABLE counters (
  name  text PRIMARY KEY,
  value bigint NOT NULL
);
INSERT INTO counters (name, value) VALUES ('chat_number', 0);
