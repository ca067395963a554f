# SPDX-License-Identifier: Apache-2.0
# Token ids against other people's tokenizers.
function(tokenizer_test name label)
    add_test(NAME tokenizer.${name} COMMAND ${TENSORTAP_PYTHON} ${PROJECT_SOURCE_DIR}/tests/tokenizer/tokenizers_test.py ${ARGN})
    set_tests_properties(tokenizer.${name} PROPERTIES LABELS ${label} SKIP_RETURN_CODE 77
        ENVIRONMENT "HF_HUB_OFFLINE=1;TOKENIZERS_PARALLELISM=false;TENSORTAP_BUILD=${CMAKE_BINARY_DIR};PYTHONDONTWRITEBYTECODE=1")
endfunction()
tokenizer_test(byte_level medium gpt2 llama3 qwen2 gpt4o)
tokenizer_test(byte_level_more medium deepseek kimi starcoder roberta)
tokenizer_test(merges medium llama llama_metaspace gemma)
tokenizer_test(wordpiece medium bert bert_cased minilm)
tokenizer_test(unigram medium unigram unigram_bytes charsmap)
tokenizer_test(parts medium parts)
tokenizer_test(gguf medium gguf_byte_level gguf_scores gguf_words)
tokenizer_test(usage short usage errors)

add_test(NAME tokenizer.llama_cpp COMMAND ${TENSORTAP_PYTHON} ${PROJECT_SOURCE_DIR}/tests/tokenizer/llama_cpp_test.py)
set_tests_properties(tokenizer.llama_cpp PROPERTIES LABELS medium SKIP_RETURN_CODE 77
    ENVIRONMENT "TOKENIZERS_PARALLELISM=false;TENSORTAP_BUILD=${CMAKE_BINARY_DIR};PYTHONDONTWRITEBYTECODE=1")

add_test(NAME tokenizer.ref_prompt COMMAND ${TENSORTAP_PYTHON} ${PROJECT_SOURCE_DIR}/tests/tokenizer/ref_prompt_test.py)
set_tests_properties(tokenizer.ref_prompt PROPERTIES LABELS medium SKIP_RETURN_CODE 77
    ENVIRONMENT "HF_HUB_OFFLINE=1;OMP_NUM_THREADS=1;TENSORTAP_BUILD=${CMAKE_BINARY_DIR};PYTHONDONTWRITEBYTECODE=1")
