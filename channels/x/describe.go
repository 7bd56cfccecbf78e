package x

import (
	"time"

	"waggle/channels"
	"waggle/chat"
)

// Describe tells what the kind can do. X tells when a message was read, but not when it arrived: an accepted send counts as
// delivered. It takes no idempotency key.
func (a *Adapter) Describe() channels.Description {
	field := func(name, help string) channels.Field {
		return channels.Field{Name: name, Label: name, Required: true, Secret: true, Pattern: keyPattern, Help: help}
	}
	return channels.Description{
		Kind: "x",
		Name: "X",
		Help: help,
		Fields: []channels.Field{
			field(FieldAccessToken, "“Access Token”: in the app's Keys & Tokens tab, section OAuth 1.0 Keys, block Access Token, click Generate. "+
				"It begins with the account's number and a hyphen. After a change of App permissions click Regenerate and enter the new one."),
			field(FieldAccessSecret, "“Access Token Secret”: generated together with the Access Token, and shown once."),
			field(FieldConsumerKey, "“Consumer Key” (also called API Key): shown in the window Application Created Successfully, later in Keys & Tokens."),
			field(FieldConsumerSecret, "“Secret Key” (also called Consumer Secret or API Key Secret): shown once, together with the Consumer Key. "+
				"X also signs its deliveries with it."),
			field(FieldBearerToken, "“Bearer Token” of the same app: shown once, together with the Consumer Key. It only sets up receiving."),
		},
		Receive: []channels.Receive{channels.Webhook, channels.Polling},
		Capabilities: channels.Capabilities{
			TextLimit: 10_000, CaptionLimit: 10_000, Attachments: true, StartDialogue: true, FileLimit: videoLimit, Reads: true, Echoes: true,
			Budget: chat.Budget{Messages: 15, Per: 15 * time.Minute}, // wire/x.md §3; 1,440 a day are the same
		},
	}
}

// help is the way through X's console, with the captions of its windows as they are (S4.9–S4.15, c11).
const help = `An X account that customers write Direct Messages to. Sign in to X with that account: it will send and receive.

1. Developer account. Open https://console.x.com/. If there is none yet, X asks for it: in Account Name enter any name of the integration, for example “CRM Integration”; in Describe all of your use cases of X's data and API insert:
“We are integrating X into our CRM system to enable customer communication through Direct Messages. The main purpose of this integration is customer support communication. Use cases: - Receive incoming Direct Messages from customers and display them in CRM. - Allow support agents to reply to customers from CRM through the connected X channel. - Store conversation history in CRM for customer support and service quality purposes. - Link X accounts to CRM contacts when the customer communicates with the company through X. We do not use X data for resale, redistribution, advertising, profiling, scraping, or analytics outside of the customer support process. X data is used only to provide customer support communication between the customer and the support team. Access to the data is limited to authorized CRM users.”
Select all checkboxes and click Submit. Activation usually takes from a few minutes to several hours.
2. App. Apps → Create App: any Application Name, Environment Development, then Create New Client Application. The window Application Created Successfully shows the Consumer Key, the Secret Key and the Bearer Token: save them immediately, they may not be displayed again.
3. App permissions. In the app's Keys & Tokens, block User authentication settings, click Set up: App permissions “Read and write and Direct message”, Type of App “Web App, Automated App or Bot”. Callback URI / Redirect URL and Website URL may be any valid URL, they are not used; the remaining fields may stay empty. Click Save Changes.
4. Access Token. Only then, in the section OAuth 1.0 Keys, block Access Token, click Generate, and save the Access Token and the Access Token Secret immediately. A token keeps the permission it was made with: if there was one before, click Regenerate.
5. Credits. Without funds or an active plan in the X Developer Platform account incoming messages are delivered to the CRM, outgoing messages are not sent.

Nothing is to be entered at X for receiving: Waggle registers its address there by itself. An app has one webhook, for up to three accounts. X delivers to a public https:// address without a port; where there is none choose polling, which looks once a minute and needs credits too. After an interruption Waggle reads once what X could not deliver; X takes credits for each message it lists.`
