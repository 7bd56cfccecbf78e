package creatiotest

// Fixed ids of a Creatio installation (wire/creatio.md §5; the administrators'
// role is the one every installation is delivered with).
const (
	StatusWaiting       = "79bccffa-8c8b-4863-b376-a69d2244182b"
	StatusInProgress    = "81737bdd-60c7-4ef7-bb75-52c53d5c38c1"
	StatusCompleted     = "a1b0184b-0a54-4a47-ba08-a5772105d3b2"
	StatusBotProcessing = "b05fbf72-69ed-41a7-be7c-af3ec13b08c7"

	ProviderTelegram = "645170ab-c67a-4dcc-9def-c0e5236bdfe0"
	ProviderFacebook = "50491c6c-d82b-4b86-b38c-99262d11a5ac"
	ProviderWhatsApp = "1398dc73-b428-4e21-b97a-c1bb6b4bc621"

	RoleAdministrators = "83a43ebc-f36b-1410-298d-001e8c82bcad"
	RoleAllEmployees   = "a29a3ba5-4b0d-de11-9a51-005056c00008"

	CommunicationEmail       = "ee1c85c3-cfcb-df11-9b2a-001d60e938c6"
	CommunicationMobilePhone = "d4a2dc80-30ca-df11-9b2a-001d60e938c6"
	CommunicationWorkPhone   = "3dddb3cc-53ee-49c4-a71f-e9e257f59e49"
	CommunicationHomePhone   = "0da6a26b-d7bc-df11-b00f-001d60e938c6"

	zeroGUID = "00000000-0000-0000-0000-000000000000"
	zeroDate = "0001-01-01T00:00:00Z"
)

type columnType int

const (
	typeGUID columnType = iota
	typeLookup
	typeText
	typeInt
	typeBool
	typeDate
)

// column is one column of an object. A lookup is stored and written as
// <name>Id and filtered as <name>/Id.
type column struct {
	name     string
	typ      columnType
	max      int    // longest text, 0 = unlimited
	ref      string // the object a lookup points at; "" = not checked
	required bool
}

// key is the column's name in a JSON body.
func (c column) key() string {
	if c.typ == typeLookup {
		return c.name + "Id"
	}
	return c.name
}

type schema struct {
	name    string
	columns []column
}

func (s *schema) byKey(key string) (column, bool) {
	for _, c := range s.columns {
		if c.key() == key {
			return c, true
		}
	}
	return column{}, false
}

func (s *schema) byName(name string) (column, bool) {
	for _, c := range s.columns {
		if c.name == name {
			return c, true
		}
	}
	return column{}, false
}

func id(name string) column             { return column{name: name, typ: typeGUID} }
func text(name string, n int) column    { return column{name: name, typ: typeText, max: n} }
func number(name string) column         { return column{name: name, typ: typeInt} }
func flag(name string) column           { return column{name: name, typ: typeBool} }
func date(name string) column           { return column{name: name, typ: typeDate} }
func lookup(name, object string) column { return column{name: name, typ: typeLookup, ref: object} }

func required(c column) column {
	c.required = true
	return c
}

func object(name string, columns ...column) *schema {
	base := []column{id("Id"), date("CreatedOn"), lookup("CreatedBy", "Contact"), date("ModifiedOn"), lookup("ModifiedBy", "Contact")}
	return &schema{name: name, columns: append(base, columns...)}
}

// schemas lists the objects the double knows, with the columns of
// wire/creatio.md §5.
func schemas() map[string]*schema {
	list := []*schema{
		object("Contact", required(text("Name", 250)), text("Surname", 250), text("GivenName", 250), text("MiddleName", 250),
			text("Phone", 250), text("MobilePhone", 250), text("HomePhone", 250), text("Email", 250), text("Skype", 250),
			text("Facebook", 250), text("FacebookId", 250), text("Twitter", 250), text("TwitterId", 250), text("LinkedIn", 250),
			text("JobTitle", 250), text("Notes", 0), flag("IsEmailConfirmed"), lookup("Owner", "Contact")),
		object("CommunicationType", text("Name", 250)),
		object("ContactCommunication", lookup("Contact", "Contact"), required(lookup("CommunicationType", "CommunicationType")),
			text("Number", 250), text("SearchNumber", 250), text("SocialMediaId", 250), number("Position"), flag("Primary"),
			flag("NonActual"), flag("IsCreatedBySynchronization")),
		object("ChannelProvider", required(text("Name", 250))),
		object("ChatQueue", required(text("Name", 250)), lookup("OperatorRoutingRule", "OperatorRoutingRules"),
			number("SimultaneousChats"), number("ChatTimeout"), number("TimeToWaitInQueue")),
		object("OperatorRoutingRules", text("Name", 250), text("Code", 250)),
		object("ChatQueueOperator", lookup("Operator", "SysAdminUnit"), lookup("ChatQueue", "ChatQueue")),
		object("Channel", required(text("Name", 250)), lookup("Provider", "ChannelProvider"), id("MsgSettingsId"),
			lookup("ChatQueue", "ChatQueue"), text("Source", 250), flag("IsActive"), lookup("Language", "")),
		object("ContactIdentity", lookup("Contact", "Contact"), lookup("Channel", "Channel"), text("ChannelIdentity", 50), flag("IsGuestUser")),
		object("OmnichannelChatStatus", text("Name", 250)),
		object("OmniChat", text("Name", 250), text("Notes", 0), lookup("Status", "OmnichannelChatStatus"), lookup("Contact", "Contact"),
			lookup("Channel", "Channel"), lookup("Operator", "SysAdminUnit"), lookup("DirectedOperator", "SysAdminUnit"),
			lookup("Queue", "ChatQueue"), lookup("Parent", "OmniChat"), text("Conversation", 0), text("ChatPreview", 0),
			number("UnprocessedMsgCount"), number("LastMessageDirection"), number("FirstReplyTime"), number("ChatDuration"),
			date("AcceptDate"), date("ChatStartDate"), date("ChatEndDate"), date("CloseDate"), date("CompletionDate")),
		object("ChatMessages", lookup("OmniChat", "OmniChat"), lookup("Channel", "Channel"), text("MessageDirection", 50),
			text("Source", 50), text("Message", 0), text("Recipient", 50), text("Sender", 50), text("Timestamp", 250), date("CreatedDate")),
		object("SysAdminUnit", required(text("Name", 250)), number("SysAdminUnitTypeValue"), flag("Active"), lookup("Contact", "Contact"),
			number("ConnectionType"), text("Email", 250)),
		object("SysUserInRole", lookup("SysUser", "SysAdminUnit"), lookup("SysRole", "SysAdminUnit")),
		object("SysAdminUnitInRole", lookup("SysAdminUnit", "SysAdminUnit"), id("SysAdminUnitRoleId")),
		object("SysProcessStatus", text("Name", 250)),
		object("VwSysProcessLog", text("Name", 250), date("StartDate"), date("CompleteDate"), lookup("Status", "SysProcessStatus"),
			lookup("Owner", "Contact"), text("ErrorDescription", 0)),
	}
	all := make(map[string]*schema, len(list))
	for _, s := range list {
		all[s.name] = s
	}
	return all
}
