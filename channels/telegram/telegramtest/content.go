package telegramtest

import (
	"fmt"
	"maps"
)

// Picture is one item of an album.
type Picture struct {
	Data    []byte
	Caption string
}

// SendAlbum sends pictures as one album: each is an update of its own with the same media_group_id (§3). It returns their ids.
func (k *Customer) SendAlbum(pictures ...Picture) []int64 {
	k.b.s.Mu.Lock()
	k.b.albums++
	group := fmt.Sprint(13_000_000_000_000_000 + k.b.albums)
	k.b.s.Mu.Unlock()
	var ids []int64
	for _, p := range pictures {
		ids = append(ids, k.Send(k.photo(p.Data, p.Caption, object{"media_group_id": group})))
	}
	return ids
}

// photo is a picture's message in two sizes (§3: PhotoSize ascending).
func (k *Customer) photo(data []byte, caption string, more object) object {
	small := k.keep("photos", ".jpg", data[:len(data)/2], 0)
	big := k.keep("photos", ".jpg", data, 0)
	small["width"], small["height"], big["width"], big["height"] = 90, 67, 1280, 960
	m := object{"photo": []object{small, big}}
	if caption != "" {
		m["caption"] = caption
	}
	maps.Copy(m, more)
	return m
}

// EditCaption changes the caption of an own message.
func (k *Customer) EditCaption(messageID int64, caption string) {
	k.edit(messageID, object{"caption": caption})
}

// ReplacePhoto changes the picture of an own message; its caption stays.
func (k *Customer) ReplacePhoto(messageID int64, data []byte) {
	k.edit(messageID, k.photo(data, "", nil))
}

func (k *Customer) edit(messageID int64, changed object) {
	k.b.s.Mu.Lock()
	defer k.b.s.Mu.Unlock()
	edited := maps.Clone(k.c.messages[messageID])
	maps.Copy(edited, changed)
	edited["edit_date"] = k.b.s.Clock.Now().Unix()
	k.c.messages[messageID] = edited
	k.b.push("edited_message", edited)
}

// ShareContact shares the customer's own contact, as a button of the bot asks for.
func (k *Customer) ShareContact(phone string) int64 {
	return k.Send(object{"contact": object{"phone_number": phone, "first_name": k.c.user["first_name"], "user_id": k.ID}})
}

// ShareLocation shares a point.
func (k *Customer) ShareLocation(latitude, longitude float64) int64 {
	return k.Send(object{"location": object{"latitude": latitude, "longitude": longitude}})
}
