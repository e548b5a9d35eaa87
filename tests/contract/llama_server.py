"""llama-server's own HTTP tests, one by one, and what stands for each of them here.

`python -m tests.contract.llama_server > docs/llama-server-tests.md` writes the table that is compared in a test. Theirs
are those of `tools/server/tests/unit` in the sources of the llama.cpp that is installed (scripts/llama_sources.sh).
"""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["same", "better", "not here"]


@dataclass(frozen=True, slots=True)
class Counterpart:
    """Of one of their tests."""

    file: str
    """Without `test_` and suffix."""
    test: str
    """Without `test_`; `*` for all of a file."""
    verdict: Verdict
    ours: str = ""
    """Tests of ours, without `test_`: in test_llama_chat.py or test_llama_server.py, or `FILE::TEST` below tests/."""
    why: str = ""


def _of(file: str, *rows: tuple[str, Verdict, str, str]) -> tuple[Counterpart, ...]:
    return tuple(Counterpart(file, *row) for row in rows)


TABLE: tuple[Counterpart, ...] = (
    *_of(
        "chat_completion",
        ("chat_completion", "same", "a_conversation_is_answered_with_its_usage, parts_of_a_message_are_one_text", ""),
        ("chat_completion_cached_tokens", "same", "a_prompt_that_was_seen_is_counted_as_cached", ""),
        ("chat_completion_stream", "same", "a_stream_begins_with_the_role_and_ends_with_reason_and_usage", ""),
        ("chat_completion_with_openai_library", "better",
         "openais_library_reads_the_answers_and_an_unknown_model_is_not_found",
         "any model's name is answered there; here an unknown one is 404 `model_not_found`"),
        ("chat_template", "not here", "",
         "a model is served with its own template; `__verbose` is no field of OpenAI's"),
        ("chat_template_assistant_prefill", "not here", "",
         "OpenAI's contract: an assistant's message at the end is history, and what follows is a new one"),
        ("chat_template_continue_final_message_vllm_compat", "not here", "", "as above"),
        ("chat_template_continue_final_message_mutual_exclusion", "not here", "", "as above"),
        ("apply_chat_template", "same", "the_prompt_of_a_conversation_can_be_seen",
         "as tokens of `/v1/tokenize`, which `/v1/detokenize` spells out"),
        ("completion_with_response_format", "same",
         "a_response_format_is_held, a_response_format_that_is_none_is_refused_by_its_field",
         "a `json_schema` without `name` is refused, as at OpenAI"),
        ("completion_with_json_schema", "same", "a_schema_at_the_top_level_is_held", ""),
        ("completion_with_grammar", "same", "a_grammar_is_held_and_one_that_is_none_is_refused", ""),
        ("completion_with_invalid_grammar", "same", "a_grammar_is_held_and_one_that_is_none_is_refused", ""),
        ("invalid_chat_completion_req", "better", "messages_that_are_none_are_the_clients_mistake",
         "always 400 and the field's name, where a 500 will do there; two assistant messages in a row are taken, as at "
         "OpenAI"),
        ("chat_completion_with_timings_per_token", "not here", "", "no field of OpenAI's; `/metrics` has the timings"),
        ("logprobs", "same", "log_probabilities_add_up_to_the_text", ""),
        ("logprobs_stream", "same", "log_probabilities_add_up_to_the_text", ""),
        ("logit_bias", "same", "biased_tokens_are_not_said", ""),
        ("context_size_exceeded", "better", "too_long_a_prompt_is_refused_with_openais_code",
         "with OpenAI's `context_length_exceeded`, which SDKs know"),
        ("context_size_exceeded_stream", "better", "too_long_a_prompt_is_refused_with_openais_code", "as above"),
        ("return_progress", "not here", "", "no field of OpenAI's; comments keep a stream alive meanwhile"),
        ("chat_completions_multiple_choices", "same", "several_choices_are_made_at_once", "without `id_slot`"),
        ("chat_completions_token_count", "same", "input_tokens_are_counted_without_an_answer",
         "at OpenAI's `/v1/responses/input_tokens`, and `/v1/tokenize`"),
        ("verbose_debug", "not here", "", "`/v1/tokenize` and `/v1/grammar` show prompt and grammar"),
    ),
    *_of(
        "tool_call",
        ("completion_with_required_tool_real_model", "better",
         "a_required_tool_is_called_whatever_is_asked, server/test_promise.py::"
         "calls_over_random_schemas_at_temperature_one_and_a_half_all_validate",
         "by construction, with any model and any schema, and nothing is said before the call; their test with a small "
         "model is commented out because prose may come first (PR 22654)"),
        ("completion_without_tool_call_fast", "same", "without_tools_or_with_none_chosen_nothing_is_called", ""),
        ("completion_without_tool_call_slow", "same", "without_tools_or_with_none_chosen_nothing_is_called",
         "other templates: tests/server/chat/test_dialect_laws.py"),
        ("weather", "same", "the_weather_of_a_place_is_asked_for_by_choice", "with the model that ships"),
        ("calc_result", "same", "a_tools_result_is_answered", "the form; the number takes a larger model"),
        ("thoughts", "same", "server/test_serve_reasoning.py::a_thought_that_the_prompt_opens_is_no_content, "
         "server/test_serve_reasoning.py::a_streamed_thought_is_the_whole_one", "with a scripted model that thinks"),
        ("hello_world", "same", "a_required_tool_is_called_whatever_is_asked",
         "the form; that the code says hello takes a larger model"),
    ),
    *_of(
        "security",
        ("access_public_endpoint", "same", "health_needs_no_key_and_everything_else_does", "`/healthz` and `/readyz`"),
        ("access_static_assets_without_api_key", "not here", "", "there is no web page"),
        ("incorrect_api_key", "same", "health_needs_no_key_and_everything_else_does", ""),
        ("correct_api_key", "same", "health_needs_no_key_and_everything_else_does", ""),
        ("correct_api_key_anthropic_header", "not here", "", "Anthropic's API is not served"),
        ("openai_library_correct_api_key", "same", "health_needs_no_key_and_everything_else_does", ""),
        ("cors_options", "better", "only_the_named_origin_may_ask, server/test_serve_keys.py::"
         "no_cors_headers_are_sent_if_nobody_asked_for_them",
         "every origin is let in there, with credentials; here only those of `--cors-origin` are"),
        ("cors_origins_localhost_reflects", "same", "only_the_named_origin_may_ask", "origins are named in full"),
        ("cors_origins_localhost_rejects", "same", "only_the_named_origin_may_ask", ""),
        ("cors_origins_defaults_to_localhost_with_tools_enabled", "better", "server/test_serve_keys.py::"
         "no_cors_headers_are_sent_if_nobody_asked_for_them", "with tools and without, no origin is let in by itself"),
        ("cors_proxy_only_forwards_explicit_proxy_headers", "not here", "", "there is no proxy for pages"),
        ("local_media_file", "better", "no_file_and_no_address_is_read_for_a_message",
         "text only: no file is read, whatever its path"),
    ),
    *_of(
        "basic",
        ("server_start_simple", "same", "health_needs_no_key_and_everything_else_does", ""),
        ("server_multiple_addresses", "not here", "", "one `--host`; `::` listens on IPv4 and IPv6"),
        ("server_props", "not here", "", "`/v1/tokenize` tells the context's length; no path is told"),
        ("server_models", "same", "models_are_listed_with_their_adapters", ""),
        ("server_slots", "not here", "", "there are no slots; `/healthz` and `/metrics` count what runs and waits"),
        ("load_split_model", "not here", "", "not tested here: it takes a download"),
        ("no_ui", "not here", "", "there is no web page"),
        ("server_model_aliases_and_tags", "same", "server/test_serve_adapter_api.py::"
         "an_alias_is_flipped_under_running_requests_and_rolled_back", "over HTTP; no tags"),
    ),
    *_of(
        "completion",
        ("completion", "same", "a_text_is_continued_and_streamed", "at OpenAI's `/v1/completions`"),
        ("completion_stream", "same", "a_text_is_continued_and_streamed", ""),
        ("completion_stream_vs_non_stream", "same",
         "server/test_serve_text_completions.py::the_stream_adds_up_to_the_whole", ""),
        ("completion_with_openai_library", "same",
         "server/test_serve_text_completions.py::a_prompt_is_continued_and_counted", ""),
        ("completion_stream_with_openai_library", "same",
         "server/test_serve_text_completions.py::the_stream_adds_up_to_the_whole", ""),
        ("completion_stream_with_openai_library_stops", "same", "a_stop_is_not_said", ""),
        ("consistent_result_same_seed", "same", "server/test_serve.py::the_same_seed_gives_the_same_answer", ""),
        ("different_result_different_seed", "same", "other_seeds_are_other_answers", ""),
        ("consistent_result_different_batch_size", "not here", "", "the batch's size is no setting of a request"),
        ("cache_vs_nocache_prompt", "not here", "", "skipped there too: rounding differs with the batch"),
        ("nocache_long_input_prompt", "same", "an_answer_ends_where_the_context_does", ""),
        ("json_prompt_no_mtmd", "not here", "", "prompts are OpenAI's: texts and tokens"),
        ("json_prompt_mtm_error_when_not_supported", "same", "tokens_are_a_prompt_too", "an object is refused"),
        ("completion_with_tokens_input", "same", "tokens_are_a_prompt_too",
         "texts and tokens are not mixed in one request, as at OpenAI"),
        ("completion_parallel_slots", "same", "six_at_once_are_all_answered", ""),
        ("completion_unified", "better", "server/test_serve_survival.py::"
         "an_exhausted_kv_cache_makes_requests_wait_and_none_fail", "a full KV cache fails requests with 500 there"),
        ("completion_response_fields", "not here", "", "no field of OpenAI's"),
        ("n_probs", "same", "the_likeliest_tokens_come_with_a_text", "in OpenAI's form, at most 5"),
        ("n_probs_stream", "same", "the_likeliest_tokens_come_with_a_text", ""),
        ("n_probs_post_sampling", "not here", "", "`logprobs` are the model's own, before any sampler, as at OpenAI"),
        ("n_probs_post_backend_sampling", "not here", "", "as above"),
        ("logit_bias", "same", "biased_tokens_are_not_said", "keys are tokens, as at OpenAI"),
        ("cancel_request", "same", "a_request_whose_client_has_gone_frees_its_place", ""),
        ("completion_prompt_cache", "same", "a_prompt_that_was_seen_is_counted_as_cached, "
         "server/test_serve_prefixes.py::a_killed_server_finds_what_was_hot_and_a_stopped_one_what_was_used", ""),
    ),
    *_of(
        "compat_oai_responses",
        ("responses_with_openai_library", "same", "a_response_of_openais_library_has_the_ids_of_its_kind", ""),
        ("responses_stream_with_openai_library", "same",
         "the_events_of_a_response_name_one_response_and_one_item", ""),
        ("responses_stream_with_llama_telemetry", "not here", "", "no field of OpenAI's"),
    ),
    *_of(
        "tokenize",
        ("tokenize_detokenize", "same", "tokens_of_a_text_and_back_with_their_names", "with vLLM's field names"),
        ("tokenize_with_bos", "not here", "", "`messages` are tokenized as the template says, texts as they stand"),
        ("tokenize_with_pieces", "same", "tokens_of_a_text_and_back_with_their_names", "`return_token_strs`"),
    ),
    *_of(
        "embedding",
        *(
            (name, "same", "embeddings_are_of_length_one_and_the_same_for_the_same_text", "")
            for name in (
                "embedding_single", "embedding_multiple", "same_prompt_give_same_result", "embedding_usage_single",
                "embedding_usage_multiple",
            )
        ),
        ("embedding_multiple_with_fa", "not here", "", "flash attention is a setting of the server"),
        ("embedding_mixed_input", "not here", "", "OpenAI's inputs only: texts or tokens, not both, not empty"),
        ("embedding_content_text_same_as_string", "not here", "", "as above"),
        ("embedding_invalid_input", "same", "what_cannot_be_embedded_is_refused", ""),
        ("embedding_pooling_mean", "same", "server/test_serve_embeddings.py::"
         "texts_become_vectors_with_their_count_of_tokens", "pooled as the model's metadata say"),
        ("embedding_pooling_mean_multiple", "same", "server/test_serve_embeddings.py::"
         "texts_become_vectors_with_their_count_of_tokens", ""),
        ("embedding_pooling_none", "not here", "", "a vector a text, as at OpenAI"),
        ("embedding_pooling_none_oai", "not here", "", "as above"),
        ("embedding_openai_library_single", "same", "embeddings_through_openais_library_and_as_base64", ""),
        ("embedding_openai_library_multiple", "same", "server/test_serve_embeddings.py::"
         "texts_become_vectors_with_their_count_of_tokens", ""),
        ("embedding_error_prompt_too_long", "same", "what_cannot_be_embedded_is_refused", ""),
        ("embedding_openai_library_base64", "same", "embeddings_through_openais_library_and_as_base64", ""),
    ),
    *_of(
        "stream",
        ("stream_resume_and_stop_with_slashed_model_name", "not here", "",
         "no endpoint of OpenAI's; `/v1/runs` are streamed again from any event"),
        ("stream_stop_during_model_load", "not here", "", "as above"),
        ("stream_resumes_after_reload_during_model_load", "not here", "", "as above"),
    ),
    *_of(
        "template",
        ("reasoning", "same", "server/test_serve_reasoning.py::without_a_thought_a_required_call_comes_at_once",
         "their templates: tests/server/chat/test_dialect_laws.py"),
        ("date_inside_prompt", "same", "a_template_may_write_todays_date", ""),
        ("add_generation_prompt", "not here", "", "no field of OpenAI's: an answer always follows"),
    ),
    *_of(
        "ignore_eos",
        ("ignore_eos_populates_logit_bias", "same", "an_answer_goes_on_if_its_end_is_biased_away",
         "by OpenAI's `logit_bias`"),
        ("ignore_eos_false_no_logit_bias", "same", "a_conversation_is_answered_with_its_usage", ""),
    ),
    *_of(
        "lora",
        ("lora", "same", "an_adapter_is_chosen_by_each_request", "an adapter is a model's name here"),
        ("lora_per_request", "better", "an_adapter_is_chosen_by_each_request, server/test_serve_adapters.py::*",
         "what an adapter has left in the KV cache is read by no other (see examples/honest_tool_choice.py)"),
        ("with_big_model", "not here", "", "it takes a download"),
    ),
    *_of(
        "metrics",
        ("metrics_disabled", "not here", "", "always on; it needs a key where there are keys"),
        ("metrics_prometheus_format", "same", "metrics_count_the_tokens_of_the_answers", ""),
        ("metrics_prompt_processed_and_cached", "same", "metrics_count_the_tokens_of_the_answers", ""),
        ("metrics_predicted_total_matches_requests", "same", "metrics_count_the_tokens_of_the_answers", ""),
        *(
            (name, "not here", "", "no field of OpenAI's; histograms at `/metrics` have the timings")
            for name in (
                "metrics_generation_rate_excludes_first_token", "metrics_timings_are_finite",
                "metrics_timings_on_prompt_progress",
            )
        ),
        ("metrics_slots_idle_after_completion", "same", "a_request_whose_client_has_gone_frees_its_place", ""),
        ("metrics_embedding_prompt_is_counted", "same", "server/test_serve_metrics.py::"
         "every_answer_is_counted_by_model_and_endpoint", ""),
    ),
    *_of(
        "ctx_shift",
        ("ctx_shift_enabled", "not here", "", "`truncation: auto` leaves out whole turns"),
        ("ctx_shift_disabled_short_prompt", "same", "an_answer_ends_where_the_context_does", ""),
        ("ctx_shift_disabled_long_prompt", "same", "an_answer_ends_where_the_context_does", ""),
        ("ctx_shift_disabled_stream", "same", "a_text_is_continued_and_streamed", ""),
    ),
    Counterpart("speculative", "*", "same", "server/test_serve_drafts.py::*, server/engine/test_speculation.py::*"),
    Counterpart("slot_save", "*", "not here", why="no slots; `--prefix-store` keeps prompts' KV by itself"),
    Counterpart("compat_anthropic", "*", "not here", why="Anthropic's API is not served"),
    Counterpart("compat_gcp", "*", "not here", why="Google's API is not served"),
    Counterpart("infill", "*", "not here", why="no endpoint of OpenAI's; `suffix` is refused by name"),
    Counterpart("rerank", "*", "not here", why="no endpoint of OpenAI's"),
    Counterpart("vision_api", "*", "not here", why="text only"),
    Counterpart("router", "*", "not here", why="models are loaded in one process: tests/server/test_serve_models.py"),
    Counterpart("sleep", "*", "not here", why="as above"),
    Counterpart("kv_keep_only_active", "*", "not here", why="no slots"),
    Counterpart("proxy", "*", "not here", why="there is no proxy for pages"),
    Counterpart("mcp_servers", "*", "not here", why="no endpoint of OpenAI's; the server's own tools: docs/agent.md"),
    Counterpart("tools_builtin", "*", "not here", why="as above"),
)  # fmt: skip


def page() -> str:
    """docs/llama-server-tests.md."""
    counts = {verdict: sum(row.verdict == verdict for row in TABLE) for verdict in ("same", "better", "not here")}
    lines = [
        "# llama-server's own HTTP tests, on this server",
        "",
        "Each test of `tools/server/tests/unit` of the installed llama.cpp, and what stands for it in `tests/`:",
        "its requests in our own words, sent to a real server with the model that ships. This page is written by",
        "`python -m tests.contract.llama_server`; a test compares it, and sees that no test of theirs is missing.",
        "",
        f"Same: {counts['same']}. Better: {counts['better']}. Not here: {counts['not here']}, with the reason.",
    ]
    for file in dict.fromkeys(row.file for row in TABLE if row.test != "*"):
        lines += ["", f"## {file}", "", "| theirs | verdict | ours | |", "|---|---|---|---|"]
        lines += [
            f"| {row.test} | {row.verdict} | {_shown(row.ours)} | {row.why} |" for row in TABLE if row.file == file
        ]
    lines += ["", "## Whole files", "", "| theirs | verdict | ours | |", "|---|---|---|---|"]
    lines += [f"| {row.file} | {row.verdict} | {_shown(row.ours)} | {row.why} |" for row in TABLE if row.test == "*"]
    return "\n".join(lines) + "\n"


def _shown(ours: str) -> str:
    return ", ".join(f"`{one.removesuffix('::*')}`" for one in ours.split(", ")) if ours else ""


if __name__ == "__main__":
    print(page(), end="")
