/* Counts the lines, words and bytes of its input. */
#include <ctype.h>
#include <stdio.h>

int main(void) {
	unsigned long lines = 0, words = 0, bytes = 0;
	int c, inside = 0;

	while ((c = getchar()) != EOF) {
		bytes++;
		lines += c == '\n';
		if (isspace(c)) {
			inside = 0;
		} else if (!inside) {
			inside = 1;
			words++;
		}
	}
	printf("Content-Type: text/plain\n\n");
	printf("%lu lines, %lu words, %lu bytes\n", lines, words, bytes);
	return ferror(stdin) || fflush(stdout) ? 1 : 0;
}
