/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/options.h"

#include <errno.h>
#include <float.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zeromean/common.h>

#include "cli/output.h"

typedef struct parser {
    const zm_cli_command *command;
    const zm_cli_option *options;
    size_t option_count;
    int argc;
    char **argv;
    int next; /* the next word to look at */
    zm_cli_arguments *arguments;
} parser;

static bool help_wanted, version_wanted, verbose_wanted;

static const zm_cli_option common_options[] = {
    {"verbose", 'v', NULL, "say what is chosen and why; twice: say everything", ZM_CLI_FLAG,
     &verbose_wanted},
    {"help", 'h', NULL, "print this help", ZM_CLI_FLAG, &help_wanted},
    {"version", 0, NULL, "print the version", ZM_CLI_FLAG, &version_wanted},
};
#define COMMON_COUNT (sizeof(common_options) / sizeof(common_options[0]))

static bool usage_error(const parser *p, const char *what, const char *subject)
{
    zm_cli_error("%s: %s '%s' (see '%s %s --help')", p->command->name, what, subject,
                 zm_cli_program(), p->command->name);
    return false;
}

static const zm_cli_option *option_at(const parser *p, size_t i)
{
    return i < p->option_count ? &p->options[i] : &common_options[i - p->option_count];
}

static const zm_cli_option *find_long(const parser *p, const char *name, size_t length)
{
    for (size_t i = 0; i < p->option_count + COMMON_COUNT; i++) {
        const zm_cli_option *option = option_at(p, i);
        if (strlen(option->name) == length && memcmp(option->name, name, length) == 0)
            return option;
    }
    return NULL;
}

static const zm_cli_option *find_letter(const parser *p, char letter)
{
    for (size_t i = 0; i < p->option_count + COMMON_COUNT; i++)
        if (option_at(p, i)->letter == letter)
            return option_at(p, i);
    return NULL;
}

static bool read_count(const char *text, uint32_t *out)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value < 1 || value > 1000000)
        return false;
    *out = (uint32_t)value;
    return true;
}

/* What a float would hold as infinity, or as 0 what isn't, is out of range. */
static bool read_real(const char *text, bool above_zero, double most, double *out)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= 0 && value <= most) ||
        (value < (double)FLT_MIN && (value > 0 || above_zero)))
        return false;
    *out = value;
    return true;
}

static bool read_seed(const char *text, uint64_t *out)
{
    char *end;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno)
        return false;
    *out = value;
    return true;
}

static bool add_text(const char *text, zm_cli_texts *out)
{
    if (!*text || out->count == ZM_CLI_TEXTS_MAX)
        return false;
    out->values[out->count++] = text;
    return true;
}

static bool read_choice(const char *text, const char *words, uint32_t *out)
{
    uint32_t index = 1;
    for (const char *word = words; word; index++) {
        size_t length = strcspn(word, "|");
        if (strlen(text) == length && memcmp(text, word, length) == 0) {
            *out = index;
            return true;
        }
        word = word[length] ? word + length + 1 : NULL;
    }
    return false;
}

/* In front of what the help calls the value. */
static const char *wanted(zm_cli_kind kind)
{
    switch (kind) {
    case ZM_CLI_COUNT: return "a whole number from 1 as ";
    case ZM_CLI_REAL: return "a number above 0, at most 3e38, as ";
    case ZM_CLI_AMOUNT: return "a number from 0 to 3e38 as ";
    case ZM_CLI_SHARE: return "a number above 0 and at most 1 as ";
    case ZM_CLI_FRACTION: return "a number from 0 to 1 as ";
    case ZM_CLI_SEED: return "a whole number from 0 as ";
    case ZM_CLI_TEXTS: return "at most 16 times ";
    default: return "";
    }
}

static bool set_value(const parser *p, const zm_cli_option *option, const char *text)
{
    char what[160];
    bool good = false;
    switch (option->kind) {
    case ZM_CLI_FLAG: break;
    case ZM_CLI_TEXT:
        good = *text != '\0';
        if (good)
            *(const char **)option->target = text;
        break;
    case ZM_CLI_COUNT: good = read_count(text, option->target); break;
    case ZM_CLI_REAL: good = read_real(text, true, FLT_MAX, option->target); break;
    case ZM_CLI_AMOUNT: good = read_real(text, false, FLT_MAX, option->target); break;
    case ZM_CLI_SHARE: good = read_real(text, true, 1, option->target); break;
    case ZM_CLI_FRACTION: good = read_real(text, false, 1, option->target); break;
    case ZM_CLI_SEED: good = read_seed(text, option->target); break;
    case ZM_CLI_TEXTS: good = add_text(text, option->target); break;
    case ZM_CLI_CHOICE: good = read_choice(text, option->value, option->target); break;
    }
    if (good)
        return true;
    const bool empty = !*text && (option->kind == ZM_CLI_TEXT || option->kind == ZM_CLI_TEXTS);
    snprintf(what, sizeof(what), "option --%s wants %s%s, not%s", option->name,
             empty ? "" : wanted(option->kind), option->value, empty ? " an empty one:" : "");
    return usage_error(p, what, text);
}

static void set_flag(const zm_cli_option *option)
{
    *(bool *)option->target = true;
    if (option->target == &verbose_wanted)
        zm_cli_log_more();
}

static bool parse_long(parser *p, const char *word)
{
    const char *equals = strchr(word, '=');
    size_t length = equals ? (size_t)(equals - word) : strlen(word);
    const zm_cli_option *option = find_long(p, word + 2, length - 2);
    if (!option)
        return usage_error(p, "unknown option", word);
    if (option->kind == ZM_CLI_FLAG) {
        if (equals)
            return usage_error(p, "this option takes no value:", word);
        set_flag(option);
        return true;
    }
    if (equals)
        return set_value(p, option, equals + 1);
    if (p->next == p->argc)
        return usage_error(p, "a value is missing behind", word);
    return set_value(p, option, p->argv[p->next++]);
}

static bool parse_letters(parser *p, const char *word)
{
    for (const char *letter = word + 1; *letter; letter++) {
        const zm_cli_option *option = find_letter(p, *letter);
        if (!option)
            return usage_error(p, "unknown option", word);
        if (option->kind == ZM_CLI_FLAG) {
            set_flag(option);
            continue;
        }
        if (letter[1])
            return set_value(p, option, letter + 1);
        if (p->next == p->argc)
            return usage_error(p, "a value is missing behind", word);
        return set_value(p, option, p->argv[p->next++]);
    }
    return true;
}

static bool parse_words(parser *p)
{
    bool only_arguments = false;
    p->arguments->count = 0;
    p->arguments->values = p->argv + 1;
    while (p->next < p->argc) {
        char *word = p->argv[p->next++];
        bool good = true;
        if (only_arguments || word[0] != '-' || !word[1])
            p->arguments->values[p->arguments->count++] = word;
        else if (strcmp(word, "--") == 0)
            only_arguments = true;
        else
            good = word[1] == '-' ? parse_long(p, word) : parse_letters(p, word);
        if (!good)
            return false;
    }
    return true;
}

static void print_option(const zm_cli_option *option)
{
    char left[64];
    char letter[8] = "    ";
    if (option->letter)
        snprintf(letter, sizeof(letter), "-%c, ", option->letter);
    snprintf(left, sizeof(left), "%s--%s%s%s", letter, option->name, option->value ? " " : "",
             option->value ? option->value : "");
    printf("  %-26s %s\n", left, option->help);
}

static void print_help(const parser *p)
{
    const zm_cli_command *command = p->command;
    printf("usage: %s %s [OPTION]...%s%s\n\n%s.\n", zm_cli_program(), command->name,
           *command->synopsis ? " " : "", command->synopsis, command->summary);
    if (command->details)
        printf("\n%s", command->details);
    printf("\nOptions:\n");
    for (size_t i = 0; i < p->option_count + COMMON_COUNT; i++)
        print_option(option_at(p, i));
    printf("\n%s", ZM_CLI_EXIT_HELP);
}

bool zm_cli_parse(const zm_cli_command *command, const zm_cli_option *options, size_t option_count,
                  int argc, char **argv, zm_cli_arguments *out, zm_cli_exit *code)
{
    parser p = {command, options, option_count, argc, argv, 1, out};
    *code = ZM_CLI_USAGE;
    if (!parse_words(&p))
        return false;
    if (help_wanted || version_wanted) {
        if (help_wanted)
            print_help(&p);
        else
            printf("%s %s\n", zm_cli_program(), zm_version());
        *code = zm_cli_finish(ZM_CLI_OK);
        return false;
    }
    if (out->count < command->min_arguments) {
        zm_cli_error("%s: an argument is missing: %s %s %s (see '%s %s --help')", command->name,
                     zm_cli_program(), command->name, command->synopsis, zm_cli_program(),
                     command->name);
        return false;
    }
    if (out->count > command->max_arguments)
        return usage_error(&p, "one argument too many:", out->values[command->max_arguments]);
    return true;
}
