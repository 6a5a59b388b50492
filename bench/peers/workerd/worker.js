export default {
	fetch() {
		return new Response("Hello from WebAssembly!\n", { headers: { "content-type": "text/plain; charset=utf-8" } });
	},
};
