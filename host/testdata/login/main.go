// Login lets requests with a name pass, and says whose they are.
package main

import "github.com/apphost/apphost/sdk/web"

func init() { web.Handle(login) }

func login(w *web.Response, r *web.Request) {
	user := r.Query().Get("user")
	if user == "" {
		w.Error(401, "who are you?")
		return
	}
	r.SetHeader("X-User", user)
	w.SetHeader("X-Seen", "yes")
	w.Next()
}

func main() {}
