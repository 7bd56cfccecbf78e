package telegram

import "encoding/json"

// update is what we read of an Update (wire/telegram.md §3): it has one field besides the id, which is positive.
type update struct {
	ID            int64         `json:"update_id"`
	Message       *message      `json:"message"`
	EditedMessage *message      `json:"edited_message"`
	MyChatMember  *memberChange `json:"my_chat_member"`
}

// message is what we read of a Message. All fields are optional but message_id, date and chat.
type message struct {
	ID       int64    `json:"message_id"`
	Chat     chat     `json:"chat"`
	From     *user    `json:"from"`
	Date     int64    `json:"date"`
	EditDate int64    `json:"edit_date"`
	ReplyTo  *message `json:"reply_to_message"`
	Forward  *struct {
		Type string `json:"type"`
	} `json:"forward_origin"`

	Text      string    `json:"text"`
	Caption   string    `json:"caption"`
	Photo     []media   `json:"photo"` // sizes of one picture, ascending
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
	Dice      *dice     `json:"dice"`
	Poll      *poll     `json:"poll"`

	// What we cannot show; the agent is told that there was something.
	Story     json.RawMessage `json:"story"`
	PaidMedia json.RawMessage `json:"paid_media"`
	Checklist json.RawMessage `json:"checklist"`
	Game      json.RawMessage `json:"game"`
}

type chat struct {
	ID        int64  `json:"id"`
	Type      string `json:"type"` // private, group, supergroup, channel
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
	Latitude   float64 `json:"latitude"`
	Longitude  float64 `json:"longitude"`
	LivePeriod int64   `json:"live_period"`
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
}

// memberChange is what we read of a ChatMemberUpdated. In a private chat it means blocked or unblocked (§3).
type memberChange struct {
	Chat chat `json:"chat"`
	New  struct {
		Status string `json:"status"` // kicked: blocked, member: unblocked
	} `json:"new_chat_member"`
}
