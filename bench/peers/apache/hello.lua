function handle(r)
	r.content_type = "text/plain; charset=utf-8"
	r:puts("Hello from WebAssembly!\n")
	return apache2.OK
end
