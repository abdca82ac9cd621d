"""System call filters as the kernel runs them: numbers for names, programs for profiles."""
