// Package chat is Waggle's vocabulary and its rules: pure Go, without I/O and without a framework. Time is passed in, never
// read.
package chat

// Role is what a session may do (b19).
type Role string

// The roles. An Administrator may do everything; a ChatAdministrator everything about chats, but nothing about keys, the
// CRM login, Synchronize and the wizard; an Agent works in his own chats.
const (
	Administrator     Role = "administrator"
	ChatAdministrator Role = "chat_administrator"
	AgentRole         Role = "agent"
)

// ProcessName names a background process as the CRM's administrators know it.
type ProcessName string

// The two processes a Finish starts.
const (
	SaveAfkChats  ProcessName = "BeesenderSaveAfkChats"  // transfers chats of silent agents
	CloseOldChats ProcessName = "BeesenderCloseOldChats" // closes chats of silent clients
)

// RoutingRule says how a queue gives its chats to agents.
type RoutingRule string

// The routing rules.
const (
	ToAllAgents        RoutingRule = "to_all_agents"         // the first to accept has it
	ToAnAvailableAgent RoutingRule = "to_an_available_agent" // assigned automatically
)

// AgentStatus is an agent's presence. It is another fact than the administrator's card (enabled).
type AgentStatus string

// The statuses of an agent.
const (
	Active   AgentStatus = "active"
	Inactive AgentStatus = "inactive"
	Offline  AgentStatus = "offline"
)

// ChannelState says whether a channel takes and sends messages.
type ChannelState string

// The states of a channel. Inactive was never activated; otherwise it is as Disconnected.
const (
	ChannelInactive     ChannelState = "inactive"
	ChannelActive       ChannelState = "active"
	ChannelDisconnected ChannelState = "disconnected"
)

// Status is what people call a chat's state.
type Status string

// The statuses of a chat.
const (
	Held          Status = "held"     // stored but not yet shown, for a stated reason
	Waiting       Status = "waiting"  // nobody has it
	Assigned      Status = "assigned" // given to an agent who has not accepted yet
	InProgress    Status = "in_progress"
	OnHold        Status = "on_hold"
	BotProcessing Status = "bot_processing"
	Closed        Status = "closed"
)

// Direction of a message.
type Direction string

// The directions: In from the client, Out to him.
const (
	In  Direction = "in"
	Out Direction = "out"
)

// Author says who wrote a message.
type Author string

// The authors. Only messages of System move no clocks (b9).
const (
	ByClient Author = "client"
	ByAgent  Author = "agent"
	ByBot    Author = "bot"   // of another app
	ByOther  Author = "other" // somebody of ours who does not use Waggle: at the messenger's own inbox
	BySystem Author = "system"
)

// EntryKind says what a timeline entry tells.
type EntryKind string

// The kinds of timeline entry.
const (
	EntryMessage  EntryKind = "message"
	EntryEdit     EntryKind = "edit"
	EntryAddition EntryKind = "addition" // a further piece of a message that comes in several (an album)
	EntryDelete   EntryKind = "delete"   // reserved: no messenger there is yet tells of one
	EntryStatus   EntryKind = "status"
	EntryOpened   EntryKind = "opened"
	EntryAssigned EntryKind = "assigned"
	EntryHeld     EntryKind = "held"
	EntryThread   EntryKind = "thread" // another app took, gave or asks for the conversation, or we did
	EntryClosed   EntryKind = "closed"
)

// MessageState is how far a message has come.
type MessageState string

// The states of a message. An incoming one is Received; an outgoing one goes from Accepted to one of the last four.
const (
	MessageReceived  MessageState = "received"
	MessageAccepted  MessageState = "accepted"
	MessageSending   MessageState = "sending"
	MessageSent      MessageState = "sent"
	MessageDelivered MessageState = "delivered"
	MessageRead      MessageState = "read"
	MessageFailed    MessageState = "failed"
	MessageUnknown   MessageState = "unknown" // it may or may not have reached the client; never resent by itself
)

// PartState is how far one send of a message has come.
type PartState string

// The states of a part.
const (
	PartPlanned   PartState = "planned"
	PartSending   PartState = "sending"
	PartSent      PartState = "sent" // the messenger has it
	PartDelivered PartState = "delivered"
	PartRead      PartState = "read"
	PartFailed    PartState = "failed"
	PartUnknown   PartState = "unknown"
)

// FileState is how far a file of a message has come.
type FileState string

// The states of a file. A FileWaiting one is being fetched, or is tried again; a FileFailed one may be tried again by a person.
const (
	FileWaiting FileState = "waiting"
	FileStored  FileState = "stored"
	FileFailed  FileState = "failed"
)

// The ways a chat is closed (wire/beesender.md §3).
const (
	ClosedByAgent    = "Closed by Agent"
	ClosedManually   = "Closed manually"
	NoAnswerOfClient = "No answer from Client"
	NobodyTookIt     = "Nobody took it within a month"
)

// Reasons why a chat is held.
const (
	HeldKeyExpired = "key_expired"
)
