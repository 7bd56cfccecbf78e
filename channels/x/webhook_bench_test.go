package x

import "testing"

// BenchmarkWebhook proves and reads one delivery.
func BenchmarkWebhook(b *testing.B) {
	a := offline()
	body := documentedEvent(annID, shopID, `"text":"Where is my order? It was to come yesterday, and nobody answers the telephone."`)
	r := delivery(body, signature(vectorSecret, []byte(body)))
	b.ReportAllocs()
	for b.Loop() {
		if d, err := a.Webhook(b.Context(), hookChannel, r); err != nil || len(d.Events) != 1 {
			b.Fatal(d, err)
		}
	}
}
