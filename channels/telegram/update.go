package telegram

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// update is what we read of an Update (wire/telegram.md §3): it has one field besides the id, which is positive.
type update struct {
	ID            int64         `json:"update_id"`
	Message       theOne        `json:"message"`
	EditedMessage theOne        `json:"edited_message"`
	MyChatMember  *memberChange `json:"my_chat_member"`
	Callback      *callback     `json:"callback_query"`
}

// theOne is a message in one place of memory, however often it comes: a message takes a lot for the few bytes of "{}".
type theOne struct{ *message }

// UnmarshalJSONFrom reads the message over what came under this name before.
func (m *theOne) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() == 'n' {
		return d.SkipValue()
	}
	if m.message == nil {
		m.message = new(message)
	}
	return json.UnmarshalDecode(d, m.message)
}

// message is what we read of a Message. All fields are optional but message_id, date and chat. Lists are read one element at a
// time (list.go), and no message is read inside another, so that a body takes no more memory than a few times its size.
type message struct {
	ID       int64  `json:"message_id"`
	Chat     chat   `json:"chat"`
	From     *user  `json:"from"`
	Date     int64  `json:"date"`
	EditDate int64  `json:"edit_date"`
	Album    string `json:"media_group_id"`

	ReplyTo   *quoted  `json:"reply_to_message"`
	Elsewhere *outside `json:"external_reply"` // the message it answers is in another chat
	Quote     *quote   `json:"quote"`          // the part of the message it answers
	Forward   *origin  `json:"forward_origin"`

	Text            string `json:"text"`
	Entities        links  `json:"entities"`
	Caption         string `json:"caption"`
	CaptionEntities links  `json:"caption_entities"`

	Photo     largest   `json:"photo"`
	Document  *media    `json:"document"`
	Audio     *media    `json:"audio"`
	Voice     *media    `json:"voice"`
	Video     *media    `json:"video"`
	VideoNote *media    `json:"video_note"`
	Animation *media    `json:"animation"` // document is set too
	Sticker   *media    `json:"sticker"`
	Location  *location `json:"location"`
	Venue     *venue    `json:"venue"` // location is set too
	Contact   *contact  `json:"contact"`

	// What is told in words.
	Dice      *dice      `json:"dice"`
	Poll      *poll      `json:"poll"`
	Checklist *checklist `json:"checklist"`
	Game      *titled    `json:"game"`
	Invoice   *titled    `json:"invoice"`
	Story     *struct{}  `json:"story"`
	PaidMedia *struct{}  `json:"paid_media"`
}

type chat struct {
	ID        int64  `json:"id"`
	Type      string `json:"type"` // private, group, supergroup, channel
	Title     string `json:"title"`
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
	Username  string `json:"username"`
}

type user struct {
	ID        int64  `json:"id"`
	IsBot     bool   `json:"is_bot"`
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
	Username  string `json:"username"`
	Language  string `json:"language_code"`
}

// quoted is what we read of the message that is answered.
type quoted struct {
	ID int64 `json:"message_id"`
}

type outside struct {
	Origin origin `json:"origin"`
}

type quote struct {
	Text   string `json:"text"`
	Manual bool   `json:"is_manual"` // chosen by the customer; otherwise Telegram added it
}

// origin is a MessageOrigin: where a message was first written.
type origin struct {
	User       *user  `json:"sender_user"`
	HiddenName string `json:"sender_user_name"`
	SenderChat *chat  `json:"sender_chat"`
	Channel    *chat  `json:"chat"`
	Signature  string `json:"author_signature"`
}

// media is any kind of file; each kind has some of these.
type media struct {
	FileID   string `json:"file_id"`
	UniqueID string `json:"file_unique_id"` // stays the same over time, unlike file_id
	FileName string `json:"file_name"`
	MIME     string `json:"mime_type"`
	Size     int64  `json:"file_size"`
	Emoji    string `json:"emoji"`
	Animated bool   `json:"is_animated"`
	Video    bool   `json:"is_video"`
}

type location struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
	Live      int64   `json:"live_period"` // seconds; 0: it does not move
}

type venue struct {
	Title   string `json:"title"`
	Address string `json:"address"`
}

type contact struct {
	Phone     string `json:"phone_number"`
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
	UserID    int64  `json:"user_id"`
}

type dice struct {
	Emoji string `json:"emoji"`
	Value int    `json:"value"`
}

type poll struct {
	Question string `json:"question"`
	Options  points `json:"options"`
}

type checklist struct {
	Title string `json:"title"`
	Tasks points `json:"tasks"`
}

type titled struct {
	Title       string `json:"title"`
	Description string `json:"description"`
}

// memberChange is what we read of a ChatMemberUpdated. In a private chat it means blocked or unblocked (§3).
type memberChange struct {
	Chat chat  `json:"chat"`
	From *user `json:"from"`
	Date int64 `json:"date"`
	New  struct {
		Status string `json:"status"` // kicked: blocked, member: unblocked
	} `json:"new_chat_member"`
}

// callback is what we read of a CallbackQuery: a button under a message was pressed.
type callback struct {
	ID      string `json:"id"`
	From    *user  `json:"from"`
	Data    string `json:"data"`
	Message *struct {
		ID     int64 `json:"message_id"`
		Chat   chat  `json:"chat"`
		Markup struct {
			Keyboard keyboard `json:"inline_keyboard"`
		} `json:"reply_markup"`
	} `json:"message"`
}
